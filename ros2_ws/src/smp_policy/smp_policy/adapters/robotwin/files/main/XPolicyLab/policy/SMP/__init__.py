"""SMP in XPolicyLab: the server loads `model`, RoboDojo's client `deploy`."""
