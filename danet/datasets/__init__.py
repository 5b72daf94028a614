"""The data sets, one file each: names, readers, joint layouts, action names and protocols."""
