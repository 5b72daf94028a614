"""From the folders of finished runs to one page, its tables and its figures."""
