import json, os, sys, types
with os.fdopen(4, "rb") as f:
    cfg = json.loads(f.read())
for name, text in cfg.pop("modules"):
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, "<parry " + name + ">", "exec", dont_inherit=True), module.__dict__)
sys.modules[cfg["main"]].main(cfg)
