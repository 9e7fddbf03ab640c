"""`python -m callmaybe`: how the playbooks call the command line of the environment that runs them."""

from callmaybe.main import main

main()
