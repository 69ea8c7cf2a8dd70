"""What observes a program from within its process. The folder stands in its PYTHONPATH."""
