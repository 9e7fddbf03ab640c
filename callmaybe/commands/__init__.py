"""The commands of the command line; each file is loaded when one of its commands is called."""
