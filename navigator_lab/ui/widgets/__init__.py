"""What the browser draws: one widget, its script and its style. No session is known here.

The script is plain ES modules in ``js/``, testable one by one; `assembled` makes the one text of
them that a widget carries. Nothing is built beforehand and nothing is fetched from anywhere.
"""
