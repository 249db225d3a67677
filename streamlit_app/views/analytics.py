"""The page of the figures, for administrators."""

from streamlit_app.analytics import show_analytics_page

show_analytics_page()
