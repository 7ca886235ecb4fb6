// Not compiled here: a thin layer over Core ML, written without Apple's SDK at hand.

#if canImport(CoreML)
import CoreML
import Foundation

/// The stages of a bundle's Core ML packages; the manifest's first precision where none is named. Models exported with
/// `--image-inputs` take buffers: export without it for this class.
@available(iOS 16, macOS 13, *)
public final class CoreMLStages: Stages {
    public let lensBlur, guidedUpsampling: Stage
    private let folder: URL
    private let manifest: Manifest
    private let precision: String?
    private let units: MLComputeUnits
    private var depths: [Size: Stage] = [:]
    private var openPreview: Stage?

    /// Compiles and loads; takes seconds, off the main thread.
    public init(_ manifest: Manifest, in folder: URL, precision: String? = nil, units: MLComputeUnits = .all) throws {
        (self.manifest, self.folder, self.precision, self.units) = (manifest, folder, precision, units)
        func open(_ stage: String) throws -> Stage {
            try CoreMLStage(manifest.model(stage, target: "coreml", precision: precision), in: folder, units)
        }
        (lensBlur, guidedUpsampling) = (try open("lens_blur"), try open("guided_upsampling"))
    }

    public func depth(_ size: Size) throws -> Stage {
        if let open = depths[size] { return open }
        let model = try manifest.model("depth", target: "coreml", precision: precision, depth: size)
        let opened = try CoreMLStage(model, in: folder, units)
        depths[size] = opened
        return opened
    }

    public func preview() throws -> Stage? {
        if openPreview == nil, manifest.preview != nil {
            openPreview = try CoreMLStage(manifest.model("preview", target: "coreml", precision: precision), in: folder, units)
        }
        return openPreview
    }
}

@available(iOS 16, macOS 13, *)
private struct CoreMLStage: Stage {
    let layout = Layout.nchw
    private let model: MLModel
    private let output: String

    init(_ entry: Model, in folder: URL, _ units: MLComputeUnits) throws {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = units
        if let function = entry.function {
            guard #available(iOS 18, macOS 15, *) else {
                throw MissingModel(description: "\(entry.path) has functions, which need iOS 18")
            }
            configuration.functionName = function
        }
        let compiled = try MLModel.compileModel(at: folder.appendingPathComponent(entry.path))
        model = try MLModel(contentsOf: compiled, configuration: configuration)
        output = entry.outputs[0].name
    }

    func run(_ inputs: [String: Tensor]) throws -> [Float] {
        let features = try inputs.mapValues { MLFeatureValue(multiArray: try MLMultiArray($0)) }
        let result = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: features))
        guard let array = result.featureValue(for: output)?.multiArrayValue else {
            throw MissingModel(description: "the model has no output \(output)")
        }
        return MLShapedArray<Float>(array).scalars
    }
}

extension MLMultiArray {
    fileprivate convenience init(_ tensor: Tensor) throws {
        try self.init(shape: tensor.shape.map(NSNumber.init), dataType: .float32)
        withUnsafeMutableBufferPointer(ofType: Float.self) { numbers, _ in
            _ = numbers.update(fromContentsOf: tensor.values)
        }
    }
}
#endif
