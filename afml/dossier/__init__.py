"""The auditor's pack: every number of a run with what it stands on, and a verifier that needs nothing of ours."""
