plugins {
    id("com.android.application")
    kotlin("android")
    kotlin("plugin.compose")
}

android {
    namespace = "dofkit.sample"
    compileSdk = 36
    defaultConfig {
        applicationId = "dofkit.sample"
        minSdk = 28
        targetSdk = 36
    }
    buildFeatures { compose = true }
}

dependencies {
    implementation(project(":portrait"))
    implementation("androidx.activity:activity-compose:1.10.1")
    implementation("androidx.compose.material3:material3:1.3.2")
}
