"""The web page of app.py: its jobs (jobs.py) and its layout (page.py, the only file that needs Gradio)."""
