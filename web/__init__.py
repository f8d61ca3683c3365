"""The web page of app.py: its jobs (`jobs`) and its layout (`page` and `controls`, which need Gradio)."""
