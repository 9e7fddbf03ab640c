"""The command line, and the runs that it drives through Ansible."""
