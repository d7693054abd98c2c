exec("def (")
