"""Agglomeration written plainly: one group at a time, nothing remembered, sets and arrays."""

from itertools import combinations, pairwise

import numpy as np
from scipy import ndimage

FEW = {5: 59, 4: 49, 3: 59, 2: 49, 1: 0}


def official_text(score, n, percentile=90, n_iter=50, absolute=True):
    """Return the lists of the authors' code for n words; ``score`` takes a bool array."""

    def threshold(values):
        values = np.abs(values) if absolute else values
        left = n - np.isnan(values).sum()
        if left == 0:
            return np.zeros(n, bool)
        return values >= np.nanpercentile(values, FEW.get(left, percentile))

    eye = np.eye(n, dtype=bool)
    values = np.array([score(row) for row in eye])
    masks, tracked = [threshold(values)], [values.copy()]
    comps_list, scores_list = [np.zeros(n, int)], [{0: score(np.ones(n, bool))}]
    for _ in range(n_iter):
        comps, _ = ndimage.label(masks[-1])
        scores = {}
        for number in range(1, comps.max() + 1):
            group = comps == number
            scores[number] = score(group)
            inside = np.flatnonzero(group)
            for word in (max(inside[0] - 1, 0), min(inside[-1] + 1, n - 1)):
                values[word] = score(group | eye[word]) - scores[number]
        values[masks[-1]] = np.nan
        more = threshold(values)
        tracked.append(values.copy())
        comps_list.append(comps)
        scores_list.append(scores)
        masks.append(masks[-1] | more)
        if not more.any():
            break
    return {
        "comps_list": comps_list,
        "comp_scores_list": scores_list,
        "scores_list": tracked,
        "mask_list": masks,
        "score_orig": scores_list[0][0],
    }


def collapsed(lists):
    """Return groups by level instead of by step: their arrays and their scores."""
    steps, n = lists["comps_list"], lists["comps_list"][0].size
    arrays = [np.arange(n)] + [np.zeros(n, int) for _ in steps[1:]]
    scores, levels = [{0: 0} for _ in steps], [dict.fromkeys(range(n), 0)]
    for before, comps, named in zip(steps, steps[1:], lists["comp_scores_list"][1:], strict=False):
        levels.append({0: 0})
        for number in range(1, comps.max() + 1):
            group = comps == number
            parts = [levels[-2][part] for part in set(before[group].tolist())]
            level = 0 if group.sum() == 1 else max(parts) + (len(parts) > 1)
            levels[-1][number] = level
            if group.sum() > 1:
                arrays[level][group] = arrays[level].max() + 1
                scores[level][arrays[level].max()] = named[number]
    while arrays and not arrays[-1].any():
        arrays.pop()
    return arrays, scores[: len(arrays)]


def followed(old, new):
    """Give components the numbers of the last step; there are 11 numbers, or an exception."""
    out, fresh, free = np.zeros_like(new), 0, list(range(1, 12))
    for number in range(1, new.max() + 1):
        matches = np.unique(old[(new == number) & (old > 0)])
        if matches.size == 0:
            fresh -= 1
            out[new == number] = fresh
        else:
            out[new == number] = matches.min()
            free.remove(matches.min())
    while fresh < 0:
        out[out == fresh] = min(free)
        free.remove(min(free))
        fresh += 1
    return out


def official_image(score, shape, size, label, percentile=95, n_iter=5):
    """Return the lists of the authors' code; ``score`` takes a bool image, returns a vector."""
    lines, columns = -(-shape[0] // size), -(-shape[1] // size)
    exceptions = 0

    def whole(cells):
        return cells.repeat(size, 0).repeat(size, 1)[: shape[0], : shape[1]]

    def threshold(values):
        p = percentile - 15 if np.isnan(values).sum() > values.size / 3 else percentile
        found = values >= np.nanpercentile(values, p)
        while not found.any():
            p -= 4
            found = values >= np.nanpercentile(values, p)
        return found

    def cell(line, column):
        one = np.zeros((lines, columns), bool)
        one[line, column] = True
        return one

    places = list(np.ndindex(lines, columns))
    raw = np.array([score(whole(cell(*place))) for place in places])
    values = raw[:, label].reshape(lines, columns).copy()
    tracked, masks = [values.copy()], [threshold(values)]
    comps_list = []
    scores_list, combined = [{0: score(np.ones(shape, bool))}], []
    for step in range(n_iter):
        if masks[-1].all():
            break
        comps, _ = ndimage.label(masks[-1], np.ones((3, 3)))
        if step:
            try:
                comps = followed(comps_list[-1], comps)
            except ValueError:
                exceptions += 1
        scores = {}
        for number in np.unique(comps[comps > 0]):
            group = comps == number
            scores[number] = score(whole(group))
            for line, column in places:
                if group[line, column]:
                    continue
                near = [(line - 1, column), (line + 1, column), (line, column - 1)]
                near.append((line, column + 1))
                if any(group[p] for p in near if 0 <= p[0] < lines and 0 <= p[1] < columns):
                    joined = score(whole(group | cell(line, column)))[label]
                    values[line, column] = joined - scores[number][label]
        values[masks[-1]] = np.nan
        mask = masks[-1] | threshold(values)
        padded = np.pad(mask, 1).astype(int)
        around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        combined.append(score(whole(masks[-1])))
        tracked.append(values.copy())
        masks.append(mask | (~mask & (around >= 3)))
        comps_list.append(comps)
        scores_list.append(scores)
    before = len(masks)
    while comps_list and np.unique(comps_list[-1][comps_list[-1] > 0]).size > 1:
        comps, scores = comps_list[-1].copy(), dict(scores_list[-1])
        best, best_pair, best_scores = -1e10, None, None
        for pair in combinations(np.unique(comps[comps > 0]), 2):
            joined = score(whole(np.isin(comps, pair)))
            gain = joined[label] - max(scores[pair[0]][label], scores[pair[1]][label])
            if gain > best:
                best, best_pair, best_scores = gain, pair, joined
        comps[comps == best_pair[1]] = best_pair[0]
        scores[best_pair[0]] = best_scores
        del scores[best_pair[1]]
        comps_list.append(comps)
        scores_list.append(scores)
        for grown in (tracked, masks, combined):
            grown.append(grown[-1])
    return {
        "comps_list": [np.zeros(shape), *comps_list],
        "comp_scores_raw_list": scores_list,
        "comp_scores_raw_combined_list": combined,
        "scores_list": tracked,
        "im_thresh_list": masks,
        "scores_orig_raw": raw,
        "num_before_final": before,
    }, exceptions


def by_queue(score, near, percentile, n_iter, absolute, until_all, any_pair):
    """Return the partition into groups after each step; ``score`` takes a frozenset of units."""

    def size(value):
        return abs(value) if absolute else value

    def touch(first, second):
        return any(b in near[a] for a in first for b in second)

    def gain(first, second, parts):
        return min(size(score(first | second) - score(part)) for part in parts)

    units = [frozenset([unit]) for unit in near]
    groups, steps = set(), []
    for _ in range(n_iter):
        free = {unit for unit in units if not any(unit <= group for group in groups)}
        if until_all and not free:
            break
        queue = [(size(score(unit)), (unit,)) for unit in free]
        queue += [(gain(g, u, [g]), (g, u)) for g in groups for u in free if touch(g, u)]
        pairs = [(g, h) for g, h in combinations(groups, 2) if touch(g, h)]
        queue += [(gain(g, h, (g, h)), (g, h)) for g, h in pairs]
        if not queue:
            break
        least = np.percentile([entry[0] for entry in queue], percentile)
        links = [parts for value, parts in queue if value >= least]
        groups |= {part for parts in links for part in parts}
        for first, *rest in links:
            for second in rest:
                one, other = (next(g for g in groups if part <= g) for part in (first, second))
                groups = (groups - {one, other}) | {one | other}
        steps.append(set(groups))
    while True:
        pairs = [p for p in combinations(groups, 2) if any_pair or touch(*p)]
        if not pairs:
            return steps
        first, second = max(pairs, key=lambda pair: gain(*pair, pair))
        groups = (groups - {first, second}) | {first | second}
        steps.append(set(groups))


def chain(n):
    """Return the neighbours of each of n words."""
    near = {unit: set() for unit in range(n)}
    for a, b in pairwise(range(n)):
        near[a].add(b)
        near[b].add(a)
    return near
