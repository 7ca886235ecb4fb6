// Not compiled here: a thin layer over Core AI, written against what is known of its beta, without Apple's SDK at hand.

#if canImport(CoreAI)
import CoreAI
import Foundation

/// The stages of a bundle's Core AI models; the manifest's first precision where none is named. Call it off the main
/// thread: it waits there for what Core AI computes elsewhere.
@available(iOS 27, macOS 27, *)
public final class CoreAIStages: Stages {
    public let lensBlur, guidedUpsampling: Stage
    private let folder: URL
    private let manifest: Manifest
    private let precision: String?
    private var depths: [Size: Stage] = [:]
    private var openPreview: Stage?

    public init(_ manifest: Manifest, in folder: URL, precision: String? = nil) throws {
        (self.manifest, self.folder, self.precision) = (manifest, folder, precision)
        func open(_ stage: String) throws -> Stage {
            let model = try manifest.model(stage, target: "coreai", precision: precision)
            return try waited { try await CoreAIStage(model, in: folder) }
        }
        (lensBlur, guidedUpsampling) = (try open("lens_blur"), try open("guided_upsampling"))
    }

    public func depth(_ size: Size) throws -> Stage {
        if let open = depths[size] { return open }
        let (model, folder) = (try manifest.model("depth", target: "coreai", precision: precision, depth: size), folder)
        let opened = try waited { try await CoreAIStage(model, in: folder) }
        depths[size] = opened
        return opened
    }

    public func preview() throws -> Stage? {
        if openPreview == nil, manifest.preview != nil {
            let (model, folder) = (try manifest.model("preview", target: "coreai", precision: precision), folder)
            openPreview = try waited { try await CoreAIStage(model, in: folder) }
        }
        return openPreview
    }
}

@available(iOS 27, macOS 27, *)
private final class CoreAIStage: Stage, @unchecked Sendable {
    let layout = Layout.nchw
    private let function: InferenceFunction
    private let output: String

    init(_ entry: Model, in folder: URL) async throws {
        let model = try await AIModel(contentsOf: folder.appendingPathComponent(entry.path))
        guard let function = try model.loadFunction(named: entry.function ?? "main") else {
            throw MissingModel(description: "\(entry.path) has no function \(entry.function ?? "main")")
        }
        (self.function, output) = (function, entry.outputs[0].name)
    }

    func run(_ inputs: [String: Tensor]) throws -> [Float] {
        try waited { try await self.computed(inputs) }
    }

    private func computed(_ inputs: [String: Tensor]) async throws -> [Float] {
        var arrays: [String: NDArray] = [:]
        for (name, tensor) in inputs {
            guard case .ndArray(let descriptor)? = function.descriptor.inputDescriptor(of: name) else {
                throw MissingModel(description: "the model has no tensor \(name) to take")
            }
            var array = NDArray(descriptor: descriptor)
            array.mutableRawView().withUnsafeMutableBytes { bytes, _, _ in
                tensor.values.withUnsafeBytes { bytes.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            }
            arrays[name] = array
        }
        guard case .ndArray(let descriptor)? = function.descriptor.outputDescriptor(of: output) else {
            throw MissingModel(description: "the model has no tensor \(output) to give")
        }
        var result = NDArray(descriptor: descriptor)
        var views = InferenceFunction.MutableViews()
        views.insert(&result, for: output)
        _ = try await function.run(inputs: arrays, outputViews: views)
        return result.rawView().withUnsafeBytes { bytes, shape, _ in
            let count = (0..<shape.count).reduce(1) { $0 * shape[$1] }
            return Array(UnsafeBufferPointer(start: bytes.assumingMemoryBound(to: Float.self), count: count))
        }
    }
}

/// What an asynchronous call gives, for callers that are not; never on a thread of the cooperative pool.
private func waited<Value>(_ work: @escaping @Sendable () async throws -> Value) throws -> Value {
    let done = DispatchSemaphore(value: 0)
    nonisolated(unsafe) var result: Result<Value, Error>!
    Task.detached {
        do { result = .success(try await work()) } catch { result = .failure(error) }
        done.signal()
    }
    done.wait()
    return try result.get()
}
#endif
