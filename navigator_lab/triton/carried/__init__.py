"""What is copied into a package, not imported: ``model.py`` of Triton's Python backend."""
