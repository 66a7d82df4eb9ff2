"""AFML from Python: what notebooks and scripts call, and what the command line calls; `import afml` offers it"""
