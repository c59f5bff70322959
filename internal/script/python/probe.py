import json, os, sys, sysconfig
found = {
    "version": list(sys.version_info[:3]), "implementation": sys.implementation.name, "executable": os.path.abspath(sys.executable),
    "prefix": sys.prefix, "base_prefix": sys.base_prefix, "modules": {}, "missing": {},
}
for name in sys.argv[1:]:
    try:
        found["modules"][name] = str(getattr(__import__(name), "__version__", ""))
    except Exception as e:
        found["missing"][name] = f"{type(e).__name__}: {e}"
paths = [p for p in sys.path if p and os.path.isabs(p)]
for key in ("stdlib", "platstdlib", "purelib", "platlib"):
    paths.append(sysconfig.get_paths()[key])
found["paths"] = sorted({os.path.normpath(p) for p in paths if os.path.exists(p)})
libraries = set()
try:
    with open("/proc/self/maps") as maps:
        for line in maps:
            path = line.split(maxsplit=5)[-1].strip()
            if path.startswith("/") and ".so" in os.path.basename(path):
                libraries.add(path)
except OSError:
    pass
found["libraries"] = sorted(libraries)
print(json.dumps(found))
