// The disparity in focus: of what a tap hits, or of the subject that nobody points at (step 6 of the bundle's README).
// Numbers that were chosen come from `rules` of its manifest.

import Foundation

/// A place on the photo, as fractions of its width and height.
public struct Point: Sendable {
    public var x, y: Double

    public init(x: Double, y: Double) {
        (self.x, self.y) = (x, y)
    }
}

/// Disparity of the thing at `point`; `range` will be held sharp around it (step 7), 0: the median at the point.
func focus(_ map: Picture, at point: Point, _ rules: Rules, range: Double = 0) -> Double {
    let long = Double(max(map.height, map.width))
    let radius = max(1, Int((rules.tapWindow * long).rounded(.toNearestOrEven)))
    let row = min(Int(point.y * Double(map.height)), map.height - 1)
    let column = min(Int(point.x * Double(map.width)), map.width - 1)
    let middle = median(window(map, row, column, radius).map { map.values[$0] })
    let reach = min(rules.tapAlike, range)
    if reach <= 0 { return Double(middle) }
    let step = stepOf(map, rules)
    let thin = thinned(map, step)
    let (i, j) = (min(row / step, thin.height - 1), min(column / step, thin.width - 1))
    let region = connected(thin, window(thin, i, j, max(1, radius / step)), middle, Float(reach))
    return Double(region.isEmpty ? middle : median(region.map { thin.values[$0] }))
}

/// Disparity around which most of what is near and central lies.
func autoFocus(_ map: Picture, _ rules: Rules) -> Double {
    let thin = thinned(map, stepOf(map, rules))
    let (least, most) = (thin.values.min()!, thin.values.max()!)
    if most <= least { return Double(least) }
    let weights = subjectWeights(thin, least, most, rules.subjectSpread)
    let count = rules.subjectBins
    let bins = thin.values.map { clamp(Int(($0 * Float(count)).rounded(.down)), 0, count - 1) }
    var sums = [Double](repeating: 0, count: count)
    for (k, bin) in bins.enumerated() { sums[bin] += weights[k] }
    let last = heaviestWindow(sums, rules.subjectWindow)
    let chosen = bins.indices.filter { bins[$0] > last - rules.subjectWindow && bins[$0] <= last }
    return Double(weightedMedian(chosen, thin.values, weights))
}

private func subjectWeights(_ map: Picture, _ least: Float, _ most: Float, _ spread: Double) -> [Double] {
    func fall(_ k: Int, _ side: Int) -> Double {
        let away = ((Double(k) + 0.5) / Double(side) - 0.5) / spread
        return exp(-away * away / 2)
    }
    let down = (0..<map.height).map { fall($0, map.height) }
    let across = (0..<map.width).map { fall($0, map.width) }
    let range = Double(most) - Double(least)
    return map.values.indices.map { (k: Int) -> Double in
        let near: Double = (Double(map.values[k]) - Double(least)) / range
        let central: Double = down[k / map.width] * across[k % map.width]
        return central * near * near
    }
}

/// Last bin of the first window of the greatest sum; windows may stick out at both ends.
private func heaviestWindow(_ sums: [Double], _ length: Int) -> Int {
    var (best, greatest) = (0, -1.0)
    for last in 0..<(sums.count + length - 1) {
        let total = sums[max(0, last - length + 1)...min(last, sums.count - 1)].reduce(0, +)
        if total > greatest { (best, greatest) = (last, total) }
    }
    return best
}

private func weightedMedian(_ chosen: [Int], _ values: [Float], _ weights: [Double]) -> Float {
    let half = chosen.reduce(0) { $0 + weights[$1] } / 2
    let sorted = chosen.sorted { values[$0] < values[$1] }
    var total = 0.0
    for k in sorted {
        total += weights[k]
        if total >= half { return values[k] }
    }
    return values[sorted.last!]
}

/// Pixels that hang together with one of `seeds` over common sides, all within `reach` of `middle`.
private func connected(_ map: Picture, _ seeds: [Int], _ middle: Float, _ reach: Float) -> [Int] {
    let (width, values) = (map.width, map.values)
    var seen = [Bool](repeating: false, count: values.count)
    var region: [Int] = []
    func visit(_ k: Int) {
        if seen[k] || abs(values[k] - middle) > reach { return }
        seen[k] = true
        region.append(k)
    }
    seeds.forEach(visit)
    var next = 0
    while next < region.count {
        let k = region[next]
        next += 1
        if k % width > 0 { visit(k - 1) }
        if k % width < width - 1 { visit(k + 1) }
        if k >= width { visit(k - width) }
        if k + width < values.count { visit(k + width) }
    }
    return region
}

private func window(_ map: Picture, _ row: Int, _ column: Int, _ radius: Int) -> [Int] {
    (max(0, row - radius)...min(row + radius, map.height - 1)).flatMap { (i: Int) -> [Int] in
        (max(0, column - radius)...min(column + radius, map.width - 1)).map { (j: Int) -> Int in i * map.width + j }
    }
}

private func median(_ values: [Float]) -> Float {
    let sorted = values.sorted()
    let half = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

private func stepOf(_ map: Picture, _ rules: Rules) -> Int {
    (max(map.height, map.width) + rules.focusLongSide - 1) / rules.focusLongSide
}

/// Every `step`-th row and column, from the first on.
private func thinned(_ map: Picture, _ step: Int) -> Picture {
    let (rows, columns) = ((map.height + step - 1) / step, (map.width + step - 1) / step)
    var values: [Float] = []
    values.reserveCapacity(rows * columns)
    for i in 0..<rows {
        for j in 0..<columns { values.append(map.values[i * step * map.width + j * step]) }
    }
    return Picture(height: rows, width: columns, channels: 1, values: values)
}
