"""Every decoder, and the intake as a whole, against bytes of any kind: one property for Hypothesis and atheris."""
