"""Files that appear whole: records, JSON, and where a number comes from."""
