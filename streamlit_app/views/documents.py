"""The page of the documents."""

from streamlit_app.documents import show_documents_page

show_documents_page()
