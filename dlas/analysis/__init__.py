"""What the points of a sweep say together: pure functions over observations, and tables of them.

Nothing here knows where observations come from, or what is made of the tables.
"""
