"""What a child process prints to tell its own peak memory.

Not `ru_maxrss`: on Linux a child starts with the peak of the process that forked it.
"""

PEAK = """
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""  # MiB
