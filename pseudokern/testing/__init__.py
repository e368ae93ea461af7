"""Give tests a machine: a pytest plugin, which no command imports."""
