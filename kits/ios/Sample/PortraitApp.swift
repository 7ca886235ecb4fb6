// Not compiled here: the least app over the kit, written without Apple's SDK at hand. Add the package and this file to an
// iOS app's target in Xcode.

import AVFoundation
import ImageIO
import PhotosUI
import PortraitKit
import SwiftUI

@main
struct PortraitApp: App {
    var body: some SwiftUI.Scene {
        WindowGroup { PortraitScreen() }
    }
}

struct PortraitScreen: View {
    @StateObject private var studio = Studio()
    @State private var picked: PhotosPickerItem?

    var body: some View {
        VStack(spacing: 16) {
            PhotosPicker("Open a photo", selection: $picked, matching: .images)
            if let shown = studio.shown {
                GeometryReader { place in
                    Image(shown, scale: 1, label: Text("Tap what is to be sharp"))
                        .resizable()
                        .onTapGesture { tap in
                            studio.focus(at: Point(x: tap.x / place.size.width, y: tap.y / place.size.height))
                        }
                }
                .aspectRatio(CGFloat(shown.width) / CGFloat(shown.height), contentMode: .fit)
                Slider(value: $studio.aperture) { moving in studio.render(isPreview: moving) }
                    .onChange(of: studio.aperture) { _ in studio.render(isPreview: true) }
                    .accessibilityLabel("Blur")
            }
        }
        .padding()
        .onChange(of: picked) { item in
            Task { if let data = try? await item?.loadTransferable(type: Data.self) { studio.open(data) } }
        }
    }
}

/// One photo at work; everything heavy happens on one queue, as a session computes one call at a time.
final class Studio: ObservableObject {
    @Published var aperture = 0.5
    @Published private(set) var shown: CGImage?

    private let queue = DispatchQueue(label: "portrait", qos: .userInitiated)
    private var portrait: Portrait?
    private var scene: PortraitKit.Scene?
    private var map: Picture?
    private var measured = false
    private var lensFocus = 0.0
    private var wanted = 0  // number of the newest rendering: an older one ends

    func open(_ data: Data) {
        queue.async { [self] in
            guard let photo = Photo(data), let portrait = try? loaded() else { return }
            let scene = portrait.scene(photo)
            let own = Picture(depthOf: data).map { portrait.refined(scene, $0) }
            guard let map = try? own ?? portrait.disparity(scene) else { return }
            (self.scene, self.map, measured) = (scene, map, own != nil)
            focus(at: nil)
        }
    }

    func focus(at point: Point?) {
        queue.async { [self] in
            guard let portrait, let map else { return }
            lensFocus = portrait.focus(map, at: point, predicted: !measured)
            DispatchQueue.main.async { self.render() }
        }
    }

    /// On the main thread. A preview is the bundle's graph, or the lowest levels where it has none.
    func render(isPreview: Bool = false) {
        wanted += 1
        let (mine, aperture) = (wanted, aperture)
        queue.async { [self] in
            guard let portrait, let scene, let map else { return }
            let isCancelled = { DispatchQueue.main.sync { self.wanted != mine } }
            if isCancelled() { return }
            let lens = Lens(focus: lensFocus, aperture: aperture)
            var rendering = Rendering()
            rendering.predicted = !measured
            rendering.longSide = isPreview ? 640 : .infinity
            rendering.isCancelled = isCancelled
            let result = isPreview && portrait.hasPreview
                ? try? portrait.preview(scene, map, lens, predicted: !measured)
                : try? portrait.render(scene, map, lens, rendering)
            guard let result else { return }
            DispatchQueue.main.async { self.shown = result.image }
        }
    }

    private func loaded() throws -> Portrait {
        if let portrait { return portrait }
        let opened = try Portrait.bundled()
        portrait = opened
        DispatchQueue.main.async { self.aperture = opened.usualAperture }
        return opened
    }
}

extension Photo {
    /// Upright, in sRGB.
    convenience init?(_ data: Data) {
        guard let source = CGImageSourceCreateWithData(data as CFData, nil) else { return nil }
        let options: [CFString: Any] = [
            kCGImageSourceCreateThumbnailFromImageAlways: true,  // the whole photo, turned upright
            kCGImageSourceCreateThumbnailWithTransform: true,
            kCGImageSourceThumbnailMaxPixelSize: 8192,
        ]
        guard let image = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary) else { return nil }
        self.init(height: image.height, width: image.width)
        rgba.withUnsafeMutableBytes { pixels in
            context(pixels.baseAddress, width, height)?
                .draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
        }
    }

    var image: CGImage? {
        rgba.withUnsafeMutableBytes { context($0.baseAddress, width, height)?.makeImage() }
    }
}

private func context(_ pixels: UnsafeMutableRawPointer?, _ width: Int, _ height: Int) -> CGContext? {
    CGContext(
        data: pixels, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 4 * width,
        space: CGColorSpace(name: CGColorSpace.sRGB)!, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
}

extension Picture {
    /// The depth that a portrait photo carries, as disparity: stretched so that the farthest is 0 and the nearest 1.
    convenience init?(depthOf data: Data) {
        guard let source = CGImageSourceCreateWithData(data as CFData, nil),
            let info = CGImageSourceCopyAuxiliaryDataInfoAtIndex(source, 0, kCGImageAuxiliaryDataTypeDisparity),
            let stored = try? AVDepthData(fromDictionaryRepresentation: info as! [AnyHashable: Any])
        else { return nil }
        let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any]
        let turned = (properties?[kCGImagePropertyOrientation] as? UInt32).flatMap(CGImagePropertyOrientation.init)
        let depth = stored.converting(toDepthDataType: kCVPixelFormatType_DisparityFloat32)
            .applyingExifOrientation(turned ?? .up)
        let buffer = depth.depthDataMap
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        let (height, width) = (CVPixelBufferGetHeight(buffer), CVPixelBufferGetWidth(buffer))
        var values: [Float] = []
        for i in 0..<height {
            let row = CVPixelBufferGetBaseAddress(buffer)! + i * CVPixelBufferGetBytesPerRow(buffer)
            values += UnsafeBufferPointer(start: row.assumingMemoryBound(to: Float.self), count: width)
        }
        let finite = values.filter(\.isFinite)
        guard let least = finite.min(), let most = finite.max(), most > least else { return nil }
        let stretched = values.map { ($0.isFinite ? $0 - least : 0) / (most - least) }
        self.init(height: height, width: width, channels: 1, values: stretched)
    }
}
