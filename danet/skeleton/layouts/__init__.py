"""Joint layouts that ship with the package, one YAML file each."""
