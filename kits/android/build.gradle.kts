// Not compiled here: written against the versions named, without an Android SDK at hand.
plugins {
    id("com.android.application") version "8.11.0" apply false
    id("com.android.library") version "8.11.0" apply false
    kotlin("android") version "2.2.0" apply false
    kotlin("plugin.compose") version "2.2.0" apply false
}
