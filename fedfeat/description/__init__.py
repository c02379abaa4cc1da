"""What a person checks of a data set before any training: numbers, what is doubtful about them, page and pictures.

No run depends on anything here.
"""
