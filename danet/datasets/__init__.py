"""The data sets: names, readers, joint layouts, action names and protocols, one file each."""
