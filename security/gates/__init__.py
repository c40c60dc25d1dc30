"""The checks: one file or folder for each. Gates never import each other; `security.registry` names them all."""
