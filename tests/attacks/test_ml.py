import time
from configs import load
from flows import intake
from flows.shell import once
class L:
    def __init__(self): self.t=time.monotonic()
    def gate(self, stage, v, e, s): print(f"{time.monotonic()-self.t:6.2f} gate {stage} {v.gate} {v.outcome} {s:.2f}")
    def step(self, stage, text): print(f"{time.monotonic()-self.t:6.2f} step {stage} {text}")
def test_ml(prefect, home, shared):
    l=L()
    source = load.document(load.text(load.find("movielens", "pipelines"))).stages[0].source
    intake.load(home, shared / "ml-latest-small" / "ratings.csv", {}, source)
    l.step("x","loaded")
    state,run=once(l, document="movielens", policy="local")
    l.step("x", "done"); print(run.clock)
