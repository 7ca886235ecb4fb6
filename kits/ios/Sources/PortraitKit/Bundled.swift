// Not compiled here: which runtime opens the package's own models.

#if canImport(CoreML)
import Foundation

extension Portrait {
    /// The pipeline over the models that the package carries: Core AI where the system and the bundle have it, else Core
    /// ML. Takes seconds, off the main thread.
    @available(iOS 16, macOS 13, *)
    public static func bundled() throws -> Portrait {
        guard let folder = Foundation.Bundle.module.url(forResource: "Bundle", withExtension: nil) else {
            throw MissingModel(description: "the package has no folder Bundle; write the kit again")
        }
        let manifest = try Manifest.read(folder)
        #if canImport(CoreAI)
        if #available(iOS 27, macOS 27, *), manifest.models.contains(where: { $0.target == "coreai" }) {
            return Portrait(manifest, try CoreAIStages(manifest, in: folder))
        }
        #endif
        return Portrait(manifest, try CoreMLStages(manifest, in: folder))
    }
}
#endif
