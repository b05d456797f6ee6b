"""What ``verify`` does with a person's own models before they are served.

In come options, the project's file, and what was inspected; out go the options of each model, or
an error in words.
"""
