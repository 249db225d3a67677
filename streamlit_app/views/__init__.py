"""The pages that the navigation leads to; Streamlit runs each file anew whenever it is drawn."""
