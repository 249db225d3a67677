"""The page where one asks."""

from streamlit_app.chat import show_conversation_page

show_conversation_page()
