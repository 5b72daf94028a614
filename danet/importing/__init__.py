"""Makes a folder of own data out of what other programs and projects write: a module a form."""
