print("nothing of torch here")
