"""RoboTwin's sentences about an episode: none where what the expert did is not known, and exit() on bad files."""

import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))


def generate_episode_descriptions(task_name, episodes, max_descriptions=1000000):
    """A dictionary for each episode that there are sentences for."""
    path = os.path.join(HERE, f"../task_instruction/{task_name}.json")
    if not os.path.exists(path):
        print("ERROR: no instructions")
        exit()
    with open(path) as f:
        sentences = json.load(f)
    described = []
    for i, episode in enumerate(episodes):
        if not episode:
            print(f"Episode {i}: No valid instructions found")
            continue
        filled = {
            kind: [text.format(**{k.strip("{}"): v for k, v in episode.items()}) for text in texts]
            for kind, texts in sentences.items()
        }
        described.append({kind: texts[:max_descriptions] for kind, texts in filled.items()})
    return described
