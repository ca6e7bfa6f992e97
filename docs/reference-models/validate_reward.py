"""Measure a reward model on solutions that reward_data.py sampled; models are chosen on these.

python validate_reward.py reward validation.jsonl
"""

import argparse
import json
from pathlib import Path

from metrics import Sampled, print_ranking, print_selection
from sample import load
from score import score_steps


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("reward")
    parser.add_argument("sampled", type=Path)
    options = parser.parse_args()
    reward, tokenizer = load(options.reward)
    sampled = []
    for line in options.sampled.read_text().splitlines():
        record = json.loads(line)
        questions = [record["question"]] * len(record["solutions"])
        scores = score_steps(reward, tokenizer, questions, record["solutions"])
        sampled.append(Sampled(record["values"], record["solutions"], scores))
    print_selection(sampled)
    print_ranking(sampled)


if __name__ == "__main__":
    main()
