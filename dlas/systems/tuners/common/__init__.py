"""Parts that tuners share: the search, its store, its tasks, processes of their own."""
