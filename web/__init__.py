"""The web page of app.py: what it computes (jobs.py), and how it looks (page.py, the only file that needs Gradio)."""
