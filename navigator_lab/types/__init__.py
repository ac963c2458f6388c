"""The nouns of the house: frozen dataclasses and one JSON codec.

Imports nothing of ours and nothing heavy (numpy only inside functions).
"""
