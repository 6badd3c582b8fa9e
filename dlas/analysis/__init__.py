"""What the points of a sweep say together: pure functions over measured points, and tables.

Nothing here knows where points come from, or what is made of the tables.
"""
