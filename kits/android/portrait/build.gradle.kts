plugins {
    id("com.android.library")
    kotlin("android")
}

android {
    namespace = "dofkit.portrait"
    compileSdk = 36
    defaultConfig { minSdk = 28 }
    androidResources { noCompress += "tflite" } // models are mapped into memory as they lie
}

dependencies {
    implementation("com.google.ai.edge.litert:litert:2.1.0")
    testImplementation("junit:junit:4.13.2")
}
