def save_faults(folder, golden):
    pass
