"""The report of a sweep: one page that needs nothing beside it, with its tables and figures.

gathering   what the report is about: points, samples, layers, courses of tuning
sections    what it says, in order
figures/    what it draws
page        the page, in HTML; `writing` puts it and the tables into a folder
"""
